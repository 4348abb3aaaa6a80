"""What leaves the book: artifacts, and the engines that run them."""
