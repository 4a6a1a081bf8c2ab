package shrink

import "slices"

// Minimise is ddmin: it returns a sublist of items, in their order, that fails
// and from which no single item can be left out. items themselves are taken to
// fail, and the empty list not to; fails is asked for neither.
//
// fails may keep its list and shall not change it. An error of fails ends the search: Minimise returns it with the shortest
// failing list so far.
func Minimise[T any](items []T, fails func([]T) (bool, error)) ([]T, error) {
	for n := 2; len(items) >= 2; {
		next, granularity, err := reduce(items, n, fails)
		switch {
		case err != nil:
			return items, err
		case next != nil:
			items, n = next, granularity
		case n >= len(items):
			return items, nil
		default:
			n = min(2*n, len(items))
		}
	}
	return items, nil
}

// reduce tries the n parts of items, then what is left without each of them. It
// returns the first that fails, and into how many parts to cut that; nil when
// none does.
func reduce[T any](items []T, n int, fails func([]T) (bool, error)) ([]T, int, error) {
	part := func(i int) (from, to int) { return i * len(items) / n, (i + 1) * len(items) / n }
	for i := range n {
		from, to := part(i)
		only := slices.Clone(items[from:to])
		if failed, err := fails(only); failed || err != nil {
			return only, 2, err
		}
	}
	if n == 2 {
		return nil, 0, nil // what is left without one part is the other
	}
	for i := range n {
		from, to := part(i)
		rest := slices.Delete(slices.Clone(items), from, to)
		if failed, err := fails(rest); failed || err != nil {
			return rest, max(n-1, 2), err
		}
	}
	return nil, 0, nil
}
