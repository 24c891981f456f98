"""Faces for libraries that spread or augment data; each module imports its library, which nothing else does."""
