#include "cuda/functions.cuh"

template const void* deeplinear::cuda::function_of<double>(const KernelName&, bool);
