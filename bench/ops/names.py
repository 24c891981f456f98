"""Names of contenders and modes, as in result files."""

FASTNST, PUBLISHED, COMPILED, LIBRARY, CUSOLVER = "fastnst", "published", "compiled", "library", "cusolver"
EAGER = "published code, eager"
FORWARD, BACKWARD, BOTH = "forward", "backward", "forward+backward"
