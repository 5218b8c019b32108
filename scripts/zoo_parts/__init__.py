"""What scripts/zoo is made of: one module a subject."""
