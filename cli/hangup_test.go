package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// terminal opens a terminal of nobody: what is written to slave is read from master, and closing master hangs it up.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	var number, locked int32
	for request, to := range map[uintptr]*int32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &number} {
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(to))); e != 0 {
			t.Skipf("no terminals here: %v", e)
		}
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// A service whose terminal goes ends as by SIGTERM; one that has none reads its files again on SIGHUP, and goes on.
func TestServeEndsWithItsTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: loads the built-in model")
	}
	master, slave := terminal(t)
	cmd, _ := process(t, 0, "serve", "--listen", "127.0.0.1:0")
	cmd.Env = append(cmd.Env, "CAPTIONER_TEST_PROCESS=real", "TERM=dumb")
	cmd.Stderr = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	lines := bufio.NewScanner(master)
	for lines.Scan() && !strings.Contains(lines.Text(), "listening on ") {
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() && !strings.Contains(lines.Text(), "model loaded again") {
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("it ended while its terminal was there: %v", err)
	}
	master.Close() // the terminal goes
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if code := exitStatus(err); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		t.Error("it goes on without its terminal")
	}
}
