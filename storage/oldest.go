package storage

// Oldest returns the LSN of the oldest view that is still held, which is the
// newest view's when nobody reads.
func (s *Store) Oldest() uint64 {
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	if len(s.views) == 0 {
		return 0
	}
	return s.views[0].lsn
}

// LSN returns the LSN of the newest view, 0 after Close.
func (s *Store) LSN() uint64 {
	if v := s.view.Load(); v != nil {
		return v.lsn
	}
	return 0
}
