"""Models of other programs, weight for weight."""
