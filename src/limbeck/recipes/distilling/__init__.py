"""What `limbeck distill` is made of: teachers, the student, its rows, its lessons, and whether it was worth it."""
