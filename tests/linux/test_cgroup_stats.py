from pinnace.linux import cgroup_stats
from pinnace.linux.cgroup_stats import UNLIMITED, Cpu, HostCpu, Io, IoEntry, Pids


def test_numbers_and_no_limit() -> None:
    assert cgroup_stats.number(b"4096\n") == 4096
    assert cgroup_stats.number(b"max\n") == UNLIMITED


def test_tables_pass_over_what_is_no_number() -> None:
    text = b"cache 10\nNode 0 file=3\nhierarchical_memsw_limit 9223372036854771712\nodd x\n"

    assert cgroup_stats.table(text) == {
        "cache": 10,
        "hierarchical_memsw_limit": 9223372036854771712,
    }


def test_no_limit_of_processes_is_zero() -> None:
    assert cgroup_stats.pids(b"3\n", b"max\n") == Pids(3, 0)
    assert cgroup_stats.pids(b"3\n", b"10\n") == Pids(3, 10)


def test_cpu_of_v1_is_in_nanoseconds_and_ticks() -> None:
    bandwidth = b"nr_periods 4\nnr_throttled 2\nthrottled_time 123\nwait_sum 9\n"

    found = cgroup_stats.cpu_v1(b"10 20 \n", b"user 3\nsystem 1\n", bandwidth)

    assert found == Cpu(30, 30_000_000, 10_000_000, (10, 20), 4, 2, 123)


def test_cpu_of_v1_without_bandwidth_control() -> None:
    assert cgroup_stats.cpu_v1(b"1\n", b"user 0\nsystem 0\n", None) == Cpu(1, 0, 0, (1,))


def test_cpu_of_v2_is_in_microseconds() -> None:
    text = (
        b"usage_usec 5\nuser_usec 3\nsystem_usec 2\nnice_usec 0\n"
        b"nr_periods 4\nnr_throttled 2\nthrottled_usec 7\n"
    )

    assert cgroup_stats.cpu_v2(text) == Cpu(5000, 3000, 2000, (), 4, 2, 7000)


def test_block_io_of_v1_leaves_the_totals_out() -> None:
    text = b"8:0 Read 4096\n8:0 Total 4096\n253:1 17\nTotal 4096\n"

    assert cgroup_stats.blkio(text) == (
        IoEntry(8, 0, "Read", 4096),
        IoEntry(8, 0, "Total", 4096),
        IoEntry(253, 1, "", 17),
    )


def test_block_io_of_v2() -> None:
    text = (
        b"8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=9\n"
        b"8:0\n"
        b"(unknown) rbytes=1\n"
        b"254:0 rbytes=7\n"
    )

    assert cgroup_stats.io_v2(text) == Io(
        (IoEntry(8, 16, "read", 1), IoEntry(8, 16, "write", 2), IoEntry(254, 0, "read", 7)),
        (IoEntry(8, 16, "read", 3), IoEntry(8, 16, "write", 4)),
    )


def test_the_hosts_cpu_time_is_that_of_seven_columns() -> None:
    text = b"cpu  1 2 3 4 5 6 7 800 900 0\ncpu0 1 1 1\ncpu3 1 1 1\nintr 5\ncpux 1\n"

    assert cgroup_stats.host_cpu(text) == HostCpu(280_000_000, 2)
