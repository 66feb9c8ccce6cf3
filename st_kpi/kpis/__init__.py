"""From raw rows to published numbers: the build, its checks and its history."""
