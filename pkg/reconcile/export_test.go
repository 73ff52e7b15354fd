package reconcile

// SetPortion says how many people a first import plans together.
func (v *Vault) SetPortion(people int) { v.portion = people }

// Watch is told how many people are planned together, each time.
func (v *Vault) Watch(f func(people int)) { v.watch = f }

// Listeners are how many ask the pull that is under way for its progress.
func (d *Directory) Listeners() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.flight == nil {
		return 0
	}
	return len(d.flight.progress)
}
