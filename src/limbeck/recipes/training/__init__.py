"""What `limbeck train` is made of: its choices, what it says, its sweep, and the bundle that it writes."""
