"""What is beside the sources is not packed."""
