"""The real system, with processes that are killed at random moments."""
