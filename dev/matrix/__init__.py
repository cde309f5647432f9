"""What ``make matrix`` runs: the tests and one livestream on every version that is claimed."""
