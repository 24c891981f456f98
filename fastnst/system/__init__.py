"""What the operating system is asked for: memory, threads, processes, and files that are complete or absent."""
