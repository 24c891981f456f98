"""Device code, installed as ``fastnst.kernels``; imports torch and triton only."""
