// Package stats says what repeated runs of the same thing show: how often it
// passes, how sure that is, and whether it is flaky. It is pure.
//
//	t := stats.Tally{Pass: 9, Fail: 1}
//	rate, ok := t.Rate()          // 0.9
//	i := stats.Wilson(9, 10)      // 0.596 to 0.982
//	b, err := stats.ParseBudget("5%")
//	t.Class(), t.Verdict(b)       // Flaky, check.Fail
//
// A repetition that ended unknown counts neither as a pass nor as a failure. It
// is in no rate; and where it could decide a verdict either way, that is unknown.
package stats
