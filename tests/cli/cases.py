"""Command lines that are given to the real docker, to be recorded, and to ours, to be compared.

`tests.cli.record` writes what docker did to golden/; the tests need no docker.
"""

# Against a daemon that creates whatever it is asked for: what matters is the request's body.
CREATE = r"""
create busybox
create busybox sh -c 'echo hi'
create --name x -it -v /a:/b:ro -p 80:80 --stop-timeout 5 busybox sh
create -e A=1 -e HOME -e NOPE -e A=2 busybox
create -p 8080-8082:80-82/udp -p 127.0.0.1::90 -p [::1]:5:6/sctp --expose 100-102 --expose 7/udp -P busybox
create -p 5000-5010:80 busybox
create -p published=80,target=8080,protocol=udp busybox
create --network host busybox
create --network bridge --mac-address 92:d0:c6:0a:29:33 busybox
create --network foo --network-alias a --network-alias b --ip 1.2.3.4 --ip6 ::2 --link x:y busybox
create --network name=foo,alias=web,ip=10.0.0.2,driver-opt=a=b,gw-priority=3,mac-address=92:d0:c6:0a:29:33 --network bar busybox
create --link x:y --link z busybox
create --mac-address zz busybox
create --net container:abc busybox
create --mount type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave --mount type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770 --mount type=volume,src=v,dst=/v,volume-label=a=b,volume-driver=local,volume-opt=type=nfs,volume-nocopy,volume-subpath=x busybox
create --mount type=bind,src=./a,dst=/b busybox
create --mount type=bind,src=/a,dst=/b,bind-recursive=writable busybox
create --mount type=bind,src=/a,dst=/b,bind-recursive=disabled busybox
create --mount type=image,src=/a,dst=/b,image-subpath=/x busybox
create --mount src=x,target=/y busybox
create --mount type=bind busybox
create --mount type=tmpfs,dst=/x,tmpfs-size=q busybox
create --mount type=bind,dst=/x,foo=bar busybox
create --mount type=bind,dst=/x,volume-nocopy busybox
create --mount type=bind,dst busybox
create --mount '"type=bind","src=/a,b",dst=/c' busybox
create -v /x -v vol:/y -v ./z:/z -v /a:/b:ro,Z -v /q:/w:rw,rslave busybox
create -v '' busybox
create -v a:b:c:d busybox
create -v a::b busybox
create --tmpfs /run --tmpfs /tmp:rw,size=1m busybox
create -m 512m --memory-swap -1 --memory-reservation 1.5g --memory-swappiness 50 --kernel-memory 4m --shm-size 64M busybox
create --memory-swappiness 500 busybox
create --cpus 1.5 --cpu-shares 512 --cpu-period 100000 --cpu-quota 5000 --cpuset-cpus 0-1 --cpuset-mems 0 --cpu-rt-period 5 --cpu-rt-runtime 6 --cpu-count 2 --cpu-percent 10 busybox
create --cpus 1.0000000001 busybox
create --cpus x busybox
create --blkio-weight 100 --blkio-weight-device /dev/sda:200 --device-read-bps /dev/sda:1mb --device-write-bps /dev/sda:2k --device-read-iops /dev/sda:100 --device-write-iops /dev/sdb:7 busybox
create --blkio-weight-device /dev/sda:2000 busybox
create --device-read-bps sda:1 busybox
create --device-read-iops /dev/sda:x busybox
create --blkio-weight 70000 busybox
create --ulimit nofile=1024:2048 --ulimit core=-1 --ulimit nproc=5 busybox
create --ulimit foo=1 busybox
create --ulimit nofile=5:2 busybox
create --ulimit nofile=a busybox
create --device /dev/null --device /dev/zero:/dev/x --device /dev/full:/dev/y:r --device /dev/a:rw --device vendor.com/class=name busybox
create --device /dev/a:/dev/b:q busybox
create --device dev busybox
create --device-cgroup-rule 'c 1:3 mr' busybox
create --device-cgroup-rule 'x 1:3 mr' busybox
create --gpus all busybox
create --gpus 2 busybox
create --gpus '"device=0,1"' busybox
create --gpus 'driver=nvidia,count=1,"capabilities=utility,compute","options=a=b"' busybox
create --gpus x busybox
create --sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=5 busybox
create --sysctl foo.bar=1 busybox
create --health-cmd 'curl x' --health-interval 5s --health-retries 3 --health-timeout 1m30s --health-start-period 100ms --health-start-interval 1.5s busybox
create --no-healthcheck busybox
create --no-healthcheck --health-cmd x busybox
create --health-interval=-5s --health-cmd x busybox
create --health-interval=5 busybox
create --restart always busybox
create --restart on-failure:5 busybox
create --restart on-failure:x busybox
create --restart :5 busybox
create --restart always --rm busybox
create --rm --init --privileged --read-only -u 1000:1000 -w /tmp -h host --domainname dom --cgroup-parent /x --cgroupns host --ipc host --pid host --uts host --userns host busybox
create --init=false busybox
create --pid foo busybox
create --uts foo busybox
create --pid container:x --ipc container:y busybox
create --cap-add NET_ADMIN --cap-drop ALL --cap-add sys_time --group-add audio --group-add 5 busybox
create --security-opt no-new-privileges --security-opt label=disable --security-opt apparmor:unconfined --security-opt seccomp=unconfined busybox
create --security-opt systempaths=unconfined busybox
create --security-opt foo busybox
create --security-opt seccomp=/nonexist busybox
create --log-driver json-file --log-opt max-size=10m --log-opt max-file=3 busybox
create --log-driver none --log-opt a=b busybox
create --storage-opt size=120G busybox
create --storage-opt size busybox
create --dns 8.8.8.8 --dns 2001:0db8::0001 --dns-search example.com --dns-search . --dns-option ndots:2 --dns-opt x busybox
create --dns foo busybox
create --dns-search -x busybox
create --dns 127.0.0.1 busybox
create --add-host a:1.2.3.4 --add-host b=::1 --add-host c=[::1] --add-host d:host-gateway busybox
create --add-host x busybox
create --add-host x:y busybox
create -l a=b -l c --label d=e=f busybox
create -l =x busybox
create -l 'a b=x' busybox
create --env-file env.list --label-file label.list -e Z=1 busybox
create --env-file /nonexistent busybox
create --env-file bad.list busybox
create -e =x busybox
create --entrypoint sh busybox -c x
create --entrypoint= busybox
create --entrypoint '' busybox x
create --stop-signal TERM --stop-timeout 0 --runtime runc --isolation default --volume-driver local --volumes-from a --volumes-from b:ro busybox
create --annotation a=b --annotation c=d busybox
create --oom-kill-disable --oom-score-adj -500 --pids-limit 100 busybox
create --oom-score-adj x busybox
create -a stdin -a STDOUT busybox
create -a foo busybox
create -i busybox
create -t busybox
create --platform linux/amd64 busybox
create --platform arm64 busybox
create --pull foo busybox
create --cidfile /nonexist/dir busybox
create Foo
create foo:bar:baz
create foo@sha256:abc
create --io-maxbandwidth 1m --io-maxiops 5 busybox
create --link-local-ip 169.254.1.1 --network x busybox
create --network x --network x busybox
create --network x --network host busybox
create --network bridge --network-alias x busybox
create --network name=x,foo=bar busybox
create --disable-content-trust busybox
create -p foo busybox
create -p 80:90000 busybox
create -p 1.2.3.4.5:80:80 busybox
create -p 80-81:90-95 busybox
create -p 80/foo busybox
create --expose 80:90 busybox
create --expose x busybox
create -m 5x busybox
create -m abc busybox
create -m -5 busybox
create --memory=1gib busybox
create -c5 -h=foo --name=bar busybox --help
create -uroot:root -itw/tmp busybox
create --tty=false --rm=0 busybox
create -- busybox -x
create --tmpfs
create -z busybox
create --nope busybox
create -it -z busybox
create --userns foo busybox
create --cgroupns foo busybox
create --shm-size foo busybox
create --stop-timeout 5s busybox
run -d -a stdin busybox
run -it busybox
run --pull foo busybox
run --restart foo: --rm busybox
create -v aa:bb:cc:dd busybox
create -v aa:bb:ccc:dd busybox
create -v a:/b busybox
create -v aa::bb busybox
create --cpus 1.5 --cpu-shares 512 --cpu-period 100000 --cpu-quota 5000 --cpuset-cpus 0-1 --cpuset-mems 0 --cpu-rt-period 5 --cpu-rt-runtime 6 busybox
create --cpu-count 2 --io-maxiops 5 busybox
create --cap-add NET_ADMIN --cap-drop ALL --cap-add sys_time --cap-add all --group-add audio --group-add 5 busybox
create --cap-add sys_time --cap-add CAP_CHOWN  --cap-add chown busybox
create localhost/x:5
create UPPER/x:5
create reg.io:5000/a/b
create a//b
create a_-b
create 1234567890123456789012345678901234567890123456789012345678901234
create --security-opt seccomp=profile.json busybox
run -d --name web busybox
run -d --rm -p 80:80 busybox sleep 5
create --network-alias x --network foo --net-alias y busybox
create -v /proc:/p:ro -v data:/d --mount type=volume,dst=/anon busybox
create -itu1:1 -w/x -ea=b busybox
"""

# Against a daemon whose answers are in golden/answers.json: what matters is what is printed.
SHOW = r"""
ps
ps -a
ps -aq
ps -a --no-trunc
ps -as
ps --format json
ps -a --format "{{.ID}}: {{.Names}} {{.Ports}}"
ps -a --format "table {{.Names}}\t{{.Status}}\t{{.Label \"com.example\"}}"
ps -a --format raw
ps -f status=running -f name=web -n 3 -l
ps -q --format "{{.ID}}"
container ls -a
images
images -q
images --digests --no-trunc
images --format json
images busybox
images -f dangling=true -a
image ls --format "{{.Repository}}:{{.Tag}}"
history busybox
history --no-trunc -H=false busybox
history -q busybox
inspect web
inspect -f "{{.Name}} {{.State.Running}} {{json .Mounts}}" web
inspect nosuch
inspect web nosuch
container inspect -s web
image inspect busybox
volume ls
volume ls -q
volume ls --format json
volume inspect data
network ls
network ls --no-trunc
network ls --format "{{.Name}} {{.IPv6}} {{.CreatedAt}}"
network inspect bridge
info
system df
system df -v
system df --format "{{.Type}}: {{.Size}}"
top web
top web -o pid
diff web
port web
port web 80
port web 81/tcp
stats --no-stream web
stats --no-stream --format json web
events --until 0
events --until 0 --format json
events --until 0 --format "{{.Action}} {{.Actor.ID}}"
logs web
wait web
stop web
stop -t 3 -s INT web nosuch
kill -s HUP web
restart web
pause web
rename web site
rename nosuch site
rm web
rm -fv web nosuch
start web
start nosuch
update -m 64m --cpus 0.5 --restart on-failure:3 web
commit -m msg -a me -c "CMD x" --pause=false web new:tag
tag busybox local/copy:1
rmi busybox
rmi nosuch
volume create --label a=b -o type=tmpfs data
volume rm data nosuch
network create --subnet 10.9.0.0/16 --gateway 10.9.0.1 --label a=b --internal net
network connect --alias a --ip 10.9.0.5 net web
network disconnect -f net web
network rm net
network rm -f nosuch
container prune -f --filter until=5h
image prune -af
volume prune -af
network prune -f
system prune -f --volumes
pull busybox:1
pull -q busybox
pull nosuch
exec nosuch true
attach nosuch
cp nosuch:/x .
export nosuch
save nosuch
"""

# Flags, operands and help: no daemon is asked.
USAGE = r"""
run
run --help
create --help
exec --help
ps --help
container ls --help
images --help
image ls --help
rmi --help
history --help
inspect --help
container inspect --help
volume create --help
volume ls --help
volume rm --help
network create --help
network ls --help
network connect --help
system df --help
system prune --help
logs --help
stop --help
restart --help
kill --help
rm --help
start --help
attach --help
update --help
commit --help
cp --help
export --help
import --help
load --help
save --help
pull --help
push --help
top --help
port --help
rename --help
stats --help
events --help
info --help
container prune --help
image prune --help
volume prune --help
run --nope
run -z x
run --rm=x y
run --name
run -e
run -m abc x
ps x
ps --foo
stop
rename a
tag a
cp a
cp a b
cp a:x b:y
container foo
foo
--foo
network create --gateway 10.99.0.1 net
network create --subnet 10.99.0.0/24 --gateway 10.98.0.1 net
network create --subnet x net
update web
stop --time 3 --timeout 4 web
system prune --volumes --filter until=5h
logs --since foo web
tag busybox Upper
pull Upper
pull -a x:1
import nofile x
load -i nofile
port a b c
images a b
inspect --type foo web
volume create --name a b
start -a a b
run -d -a stdin busybox
run -it busybox
"""


def lines(text: str) -> list[str]:
    return text.strip().splitlines()
