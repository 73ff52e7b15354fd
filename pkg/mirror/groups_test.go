package mirror

import "testing"

// TestManyGroupsOfOnePerson is scenario 47: no list of groups ends at a page, a
// filter or a batch.
func TestManyGroupsOfOnePerson(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Profiles: "read"})
	var roots []Root
	for n := range 250 {
		b.dir.add(n, u(1), u(2))
		roots = append(roots, root(n))
	}
	b.refresh(roots...)
	b.dir.remove(0, u(1))
	b.dir.remove(249, u(1))
	b.refresh(roots...)
	for n := range 250 {
		want := "1 2"
		if n == 0 || n == 249 {
			want = "2"
		}
		b.want(root(n), want)
	}
	if len(b.dir.pulls) != 1 {
		t.Errorf("%d pulls for one change", len(b.dir.pulls))
	}
}
