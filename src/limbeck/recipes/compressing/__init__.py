"""What `limbeck compress` is made of: the judge, and the variants of each engine."""
