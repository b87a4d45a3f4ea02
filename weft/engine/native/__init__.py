"""The native engine: kernels written as LLVM IR, compiled in the process by llvmlite."""
