"""How hosts reach the server: stdio here, HTTP beside it."""
