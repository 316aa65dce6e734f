"""Adds up the lines of an invoice."""
