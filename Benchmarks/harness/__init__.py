"""What Benchmarks/bench.py is made of. Python's own library only."""
