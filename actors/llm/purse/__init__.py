"""What a cell may spend without asking: money that the office leases it, and what its calls hold of that."""
