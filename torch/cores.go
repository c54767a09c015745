package torch

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Cores is how many threads an op is best spread over: the physical cores that this process may run on, or fewer where
// its control group has less processor time. A core counts once, however many hyperthreads it has: two threads that
// multiply share its arithmetic units and gain nothing.
func Cores() int { return CoresOf("/", affinity()) }

// CoresOf is Cores for a machine whose /proc and /sys lie below root, and a process that may run on these processors.
func CoresOf(root string, processors []int) int { return within(root, physical(root, processors)) }

// Processors is how many threads an op can be spread over: the logical processors that this process may run on, all of
// a core, or fewer where its control group has less processor time.
func Processors() int { return ProcessorsOf("/", affinity()) }

// ProcessorsOf is Processors for a machine whose /proc and /sys lie below root.
func ProcessorsOf(root string, processors []int) int { return within(root, len(processors)) }

// within is n, or what the control group leaves of it.
func within(root string, n int) int {
	n = max(1, n)
	if quota := cpuQuota(root); quota < float64(n) {
		n = max(1, int(math.Ceil(quota)))
	}
	return n
}

// physical counts the cores that these processors belong to. A processor whose core is not known counts as one.
func physical(root string, processors []int) int {
	seen := make(map[string]bool)
	for _, p := range processors {
		dir := filepath.Join(root, "sys/devices/system/cpu", "cpu"+strconv.Itoa(p), "topology")
		siblings := firstLine(filepath.Join(dir, "core_cpus_list"))
		if siblings == "" {
			siblings = firstLine(filepath.Join(dir, "thread_siblings_list")) // before Linux 5.10
		}
		if siblings == "" {
			siblings = strconv.Itoa(p)
		}
		seen[siblings] = true
	}
	return len(seen)
}

// cpuQuota is the processor time that the control groups of this process leave it, in processors; +Inf for no limit.
// Control groups nest: the smallest limit on the way to the root holds.
func cpuQuota(root string) float64 {
	quota := math.Inf(1)
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return quota
	}
	for line := range strings.Lines(string(groups)) { // 0::/system.slice or 4:cpu,cpuacct:/docker/1a2b
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case id == "0" && controllers == "":
			quota = min(quota, smallest(filepath.Join(root, "sys/fs/cgroup"), group, quotaV2))
			quota = min(quota, smallest(filepath.Join(root, "sys/fs/cgroup/unified"), group, quotaV2))
		case slices.Contains(strings.Split(controllers, ","), "cpu"):
			for _, mount := range []string{controllers, "cpu"} {
				quota = min(quota, smallest(filepath.Join(root, "sys/fs/cgroup", mount), group, quotaV1))
			}
		}
	}
	return quota
}

// smallest is the smallest quota of a group and those that it lies in. In a container the root of the mount is the
// group itself, whatever its name is outside.
func smallest(mount, group string, quota func(dir string) float64) float64 {
	least := math.Inf(1)
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		least = min(least, quota(filepath.Join(mount, group)))
		if group == "/" {
			return least
		}
	}
}

// quotaV2 reads cpu.max: "200000 100000", microseconds of processor time in each period, or "max 100000".
func quotaV2(dir string) float64 {
	limit, period, _ := strings.Cut(firstLine(filepath.Join(dir, "cpu.max")), " ")
	return ratio(limit, period)
}

// quotaV1 reads the same from two files; -1 is no limit.
func quotaV1(dir string) float64 {
	return ratio(firstLine(filepath.Join(dir, "cpu.cfs_quota_us")), firstLine(filepath.Join(dir, "cpu.cfs_period_us")))
}

func ratio(limit, period string) float64 {
	l, err := strconv.ParseFloat(limit, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err != nil || err2 != nil || !(l > 0) || !(p > 0) {
		return math.Inf(1)
	}
	return l / p
}

// firstLine is the first line of a file, "" where there is none.
func firstLine(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}
