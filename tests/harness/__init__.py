"""What the tests that need a whole engine share: to start one, to speak to it, to see leaks."""
