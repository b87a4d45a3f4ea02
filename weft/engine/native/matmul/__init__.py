"""Matrix products of constant shapes and strides, as native functions.

The product is cut into blocks of C, each computed by one thread from start to end, so that the
number of threads changes no bit of the result. A block goes through K in slices; of each slice it
packs what it needs of A and B into contiguous panels, unless they can be read in place, and runs
a kernel that keeps one tile of C in registers (Goto and van de Geijn, "Anatomy of High-Performance
Matrix Multiplication", 2008). Vectors lie along N; elements of A are broadcast. Where C has few
rows and B lies along K, dot products take the tile's place.
"""

from .blocks import emit
from .epilogue import Epilogue
from .plan import DEPTH
from .spec import Matmul, flops, useful_threads

__all__ = ["DEPTH", "Epilogue", "Matmul", "emit", "flops", "useful_threads"]
