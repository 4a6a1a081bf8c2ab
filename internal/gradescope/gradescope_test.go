package gradescope

import (
	"strings"
	"testing"
)

const good = `{"execution_time": 1, "output": "", "output_format": "text", "test_output_format": "text", "test_name_format": "text",
 "visibility": "visible", "stdout_visibility": "hidden",
 "tests": [{"score": 1, "max_score": 2, "status": "failed", "name": "A", "name_format": "text", "number": "1", "output_format": "text", "visibility": "hidden"}],
 "leaderboard": [{"name": "p50", "value": 1, "order": "asc"}]}`

func TestParse(t *testing.T) {
	r, err := Parse([]byte(good))
	if err != nil || len(r.Tests) != 1 || *r.Tests[0].MaxScore != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, c := range [][3]string{
		{good[:len(good)-1], "", "unexpected EOF"},
		{good + "{}", "", "more after"},
		{`"output":`, `"colour":`, `unknown field "colour"`},
		{`"max_score": 2, `, "", "no score or max_score"},
		{`"score": 1,`, `"score": 3,`, "3 of 2 points"},
		{`"failed"`, `"unknown"`, "tests[0].status"},
		{`"hidden"}]`, `"secret"}]`, "tests[0].visibility"},
		{`"name": "A", `, "", "no name or number"},
		{`"asc"`, `"up"`, "leaderboard[0].order"},
		{`"execution_time": 1, `, "", "execution_time is not there"},
	} {
		text := c[0]
		if strings.Contains(good, c[0]) && len(c[0]) < len(good)/2 {
			text = strings.Replace(good, c[0], c[1], 1)
		}
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%q: %v, want %q", text, err, c[2])
		}
	}
}
