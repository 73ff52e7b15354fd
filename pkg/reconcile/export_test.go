package reconcile

// SetPortion says how many people a first import plans together.
func (v *Vault) SetPortion(people int) { v.portion = people }
