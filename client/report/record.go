package report

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"paxbank/client/check"
	"paxbank/client/runner"
)

// Recorder writes the files of a run directory while the run goes on:
// history.jsonl, summary.json, summary.txt, performance.csv, the renderings of
// its Grade and, for large sets, the side files. The history is added to; the others are replaced in one step
// each. Whatever happens between two calls, the files of the last one are whole.
type Recorder struct {
	dir  string
	size int64 // of the history, as far as it was written well
	sets int   // in it
	over bool  // it has its last line
	// planned sets have their place in the grade before they ran.
	planned []Planned
}

// NewRecorder returns a recorder for dir, which must exist and have no history.
func NewRecorder(dir string) *Recorder { return &Recorder{dir: dir} }

// Begin writes the grade of a run that is about to begin, with no points for any
// of the sets that are planned, so that a run that dies at once leaves that.
func (r *Recorder) Begin(run *runner.RunResult, planned []Planned) error {
	r.planned = planned
	return WriteGrade(r.dir, FromRun(run, nil, planned...))
}

// Write adds the sets of run that are new and writes the other files.
// verdicts belong to run.Sets by position; sets that were written do not change.
func (r *Recorder) Write(run *runner.RunResult, verdicts []check.SetVerdict) error {
	if err := r.history(run, false); err != nil {
		return err
	}
	return r.others(run, verdicts)
}

// Finish is Write for a run that is over.
func (r *Recorder) Finish(run *runner.RunResult, verdicts []check.SetVerdict) error {
	if err := r.history(run, true); err != nil {
		return err
	}
	return r.others(run, verdicts)
}

// history appends to history.jsonl. An attempt that failed may have left a part
// of a line, which the next one removes. Writing the whole file anew after every
// set would cost the square of their number.
func (r *Recorder) history(run *runner.RunResult, over bool) (err error) {
	if r.sets == len(run.Sets) && r.size > 0 && (r.over || !over) {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(r.dir, HistoryFile), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return cannotWrite(HistoryFile, err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = cannotWrite(HistoryFile, err)
		}
	}()
	if err := f.Truncate(r.size); err != nil {
		return err
	}
	if _, err := f.Seek(r.size, io.SeekStart); err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	h := newHistoryWriter(w)
	if r.size == 0 {
		h.begin(run)
	}
	for i := r.sets; i < len(run.Sets); i++ {
		h.set(&run.Sets[i])
	}
	if over {
		h.end(run)
	}
	if h.err != nil {
		return h.err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	r.size, r.sets, r.over = size, len(run.Sets), over
	return nil
}

func (r *Recorder) others(run *runner.RunResult, verdicts []check.SetVerdict) error {
	return writeFiles(r.dir, files(run, verdicts, r.planned))
}

// Write writes all files of a run that is over into dir, which must exist.
func Write(dir string, run *runner.RunResult, verdicts []check.SetVerdict) error {
	return NewRecorder(dir).Finish(run, verdicts)
}

// Rewrite writes the files of a run that was judged again into its directory. A
// file that comes out other than it was is kept as NAME.N.EXTENSION, with the
// lowest N that is free; kept names these. extra are further files, by name, to
// be replaced in the same way. Renderings of the grade are replaced and not kept:
// they say nothing that the summary does not. The history stays as it is.
func Rewrite(dir string, run *runner.RunResult, verdicts []check.SetVerdict, extra map[string][]byte) (kept []string, err error) {
	var list []file
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		list = append(list, file{name: name, write: func(w io.Writer) error {
			_, err := w.Write(extra[name])
			return err
		}})
	}
	keep := func(path string, fresh []byte) error {
		old, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && bytes.Equal(old, fresh) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := keepAside(path, old)
		kept = append(kept, name)
		return err
	}
	for _, f := range append(list, files(run, verdicts, nil)...) {
		keep := keep
		if f.rendered {
			keep = nil
		}
		if err := writeAtomically(filepath.Join(dir, f.name), f.write, keep); err != nil {
			return kept, err
		}
	}
	return kept, nil
}

// keepAside stores what a file held under a name that no file has.
func keepAside(path string, data []byte) (name string, err error) {
	extension := filepath.Ext(path)
	stem := strings.TrimSuffix(path, extension)
	for n := 1; ; n++ {
		kept := fmt.Sprintf("%s.%d%s", stem, n, extension)
		f, err := os.OpenFile(kept, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = f.Write(data)
		return filepath.Base(kept), errors.Join(err, f.Sync(), f.Close())
	}
}

// writeAtomically writes a file under a temporary name beside it, syncs it and
// renames it. Before that, keep, when set, is told what is going to replace the
// file.
func writeAtomically(path string, write func(io.Writer) error, keep func(path string, fresh []byte) error) (err error) {
	fail := func(err error) error { return cannotWrite(filepath.Base(path), err) }
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	if err := write(w); err != nil {
		return fail(err)
	}
	if err := w.Flush(); err != nil {
		return fail(err)
	}
	if err := f.Chmod(0o644); err != nil {
		return fail(err)
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	if keep != nil {
		fresh, err := os.ReadFile(f.Name())
		if err == nil {
			err = keep(path, fresh)
		}
		if err != nil {
			return fail(err)
		}
	}
	if err := f.Close(); err != nil {
		return fail(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fail(err)
	}
	return nil
}

func cannotWrite(name string, err error) error { return fmt.Errorf("cannot write %s: %w", name, err) }
