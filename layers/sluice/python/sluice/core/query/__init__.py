"""The readers' questions about numbers, and the answers."""
