-- Under which id a lease was asked for: asked again, because the answer was lost, it is the same lease.
ALTER TABLE leases ADD COLUMN request TEXT;
CREATE UNIQUE INDEX leases_by_request ON leases (cell, epoch, request) WHERE request IS NOT NULL;
