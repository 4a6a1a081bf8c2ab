package testset

import "testing"

// FuzzParseExpected: no panic; what is not understood is an error with a place,
// and what is understood can be judged by.
func FuzzParseExpected(f *testing.F) {
	for _, s := range []string{
		"Set Number,Check,Target,Expected,Points\n1,outcome,\"(21, 700, 2)\",committed,1\n2,outcome,line:9,unavailable|aborted,2\n",
		"1,value,(7800),10,1\n,balance,501@n3,18\n*,throughput,,>=3000,5\n*,p99,,<=20ms,5\n",
		"3,views,c3,>=2|1,0.5\n3,max,cross,!=1.5s\n", "1,balance,x,,\n", "*,*,*,*,*\n", "\ufeff1,mean,read,<1us,-1\r", "1,views,,1e9,nan\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseExpected("e.csv", data)
		if err != nil {
			errs, ok := err.(Errors)
			if !ok || len(errs) == 0 {
				t.Fatalf("error %v is not a list of errors", err)
			}
			for _, e := range errs {
				if e.Line < 1 || e.Column < 1 {
					t.Fatalf("error without a place: %+v", e)
				}
			}
			return
		}
		for i := range list {
			e := &list[i]
			if e.Line < 1 || e.Check == "" || len(e.Conditions) == 0 || !(e.Points >= 0) {
				t.Fatalf("incomplete expectation %+v", e)
			}
			for _, c := range e.Conditions {
				if c.Word == "" && c.Number != c.Number {
					t.Fatalf("%+v compares with no number", e)
				}
			}
			e.Holds(1)
			e.HoldsWord("committed")
		}
	})
}
