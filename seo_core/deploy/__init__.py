"""What leaves the book: artifacts, and the engines that run them.

artifact.py is the folder to take away, runners.py runs it, engine.py measures on which runtime, scoring.py scores files
of any size with it, and serving answers over HTTP.
"""
