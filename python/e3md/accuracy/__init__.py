"""Predictions against reference data: errors, their pictures, and what a committee knows of them."""
