"""What is compared: each arm is a name, a recipe and a function."""
