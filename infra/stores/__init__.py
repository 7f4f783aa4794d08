"""The stores, and how functions get access to them."""
