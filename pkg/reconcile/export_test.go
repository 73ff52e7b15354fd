package reconcile

// SetPortion says how many people a first import plans together.
func (v *Vault) SetPortion(people int) { v.portion = people }

// Watch is told how many people are planned together, each time.
func (v *Vault) Watch(f func(people int)) { v.watch = f }
