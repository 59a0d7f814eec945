# The http example as a Nomad job, with Consul for its checks.
#
#     nomad job validate deploy/nomad/srun-http.nomad.hcl
#     nomad job run deploy/nomad/srun-http.nomad.hcl
#
# An upgrade is a new allocation: change the image. In PID 1 of a container SIGHUP upgrades nothing.
job "srun-http" {
  type = "service"

  update {
    max_parallel     = 1
    health_check     = "checks"
    min_healthy_time = "5s"
    healthy_deadline = "2m"
    auto_revert      = true
  }

  group "srun-http" {
    count = 3

    network {
      port "http" {
        to = 8080
      }
      port "admin" {
        to = 8778
      }
    }

    service {
      name = "srun-http"
      port = "http"

      # 200, 500 when unhealthy, 503 when it drains; degraded is a warning of Consul's: 429.
      check {
        name     = "may be sent work"
        type     = "http"
        port     = "admin"
        path     = "/ready?degraded=429"
        interval = "2s"
        timeout  = "1s"
      }

      # A task whose threads hang is started anew. /health would also count what it depends on.
      check {
        name     = "moves"
        type     = "http"
        port     = "admin"
        path     = "/livez"
        interval = "10s"
        timeout  = "2s"

        check_restart {
          limit = 3
          grace = "60s"
        }
      }
    }

    task "srun-http" {
      driver = "docker"

      # Nomad takes the service out of Consul, waits for so long, and only then sends the signal. So
      # the program itself need not drain.
      shutdown_delay = "5s"
      kill_signal    = "SIGTERM"

      # SRUN_GRACEFUL_TIMEOUT and a margin. A client allows 30 s unless its max_kill_timeout says more.
      kill_timeout = "25s"

      config {
        image = "example.org/srun-http:1.0.0"
        args  = ["--http.address=0.0.0.0:8080"]
        ports = ["http", "admin"]

        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]

        # Docker makes it writable for all, mode 1777, when it is not told of another.
        mount {
          type   = "tmpfs"
          target = "/run/srun-http"
          tmpfs_options {
            size = 1048576
          }
        }
      }

      env {
        # Consul's agent asks from outside of the container, by an IP address: probes and /metrics only.
        SRUN_ADMIN_ADDRESS    = "0.0.0.0:8778"
        SRUN_HEALTH           = "true"
        SRUN_UPGRADE          = "false"
        SRUN_LOG_FORMAT       = "json"
        SRUN_STOP_TIMEOUT     = "15s"
        SRUN_GRACEFUL_TIMEOUT = "20s"
      }

      resources {
        cpu    = 100
        memory = 256
      }
    }
  }
}
