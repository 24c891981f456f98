"""Access to the operating system: memory, threads, processes, and files that are complete or absent."""
