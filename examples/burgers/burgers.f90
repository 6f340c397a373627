! Burgers' equation, u_t + u u_x = nu u_xx + noise on waves 1 and 2, on a ring of 2 pi: a toy of turbulence.
!
!   burgers NEXT                                  writes the state at t = 0, at rest
!   burgers NEXT RESTART SEED BRANCH STEPS INNER  makes STEPS steps of INNER steps of 0.005, and prints the energy
!                                                 after each of the former, a line each
!
! The state has the generator in it; where a branch begins (BRANCH = 1), it is seeded anew.
program burgers
  use, intrinsic :: iso_fortran_env, only: int64, real64
  implicit none
  integer, parameter :: n = 64
  real(real64), parameter :: pi = acos(-1.0_real64), dx = 2 * pi / n, dt = 0.005_real64, nu = 0.1_real64, kick = 0.4_real64
  real(real64) :: u(n) = 0, x(n)
  integer(int64) :: generator = 0
  character(4096) :: words(6)
  integer :: i, j, branch, steps, inner

  x = [(dx * i, i = 1, n)]
  do i = 1, 6
    call get_command_argument(i, words(i))
  end do
  if (command_argument_count() > 1) then
    open (10, file=trim(words(2)), access='stream', status='old', action='read')
    read (10) u, generator
    close (10)
    read (words(4:6), *) branch, steps, inner
    if (branch == 1) generator = seed_of(words(3))
    do i = 1, steps
      do j = 1, inner
        call advance
      end do
      print '(es24.16e3)', sum(u**2) / (2 * n)
    end do
  end if
  open (10, file=trim(words(1)), access='stream', status='replace')
  write (10) u, generator
  close (10)

contains

  subroutine advance ! Euler's method, with the fluxes of Rusanov
    real(real64) :: right(n), flux(n), force(n)
    integer :: k
    force = 0
    do k = 1, 2
      force = force + kick * sqrt(dt) * (normal() * cos(k * x) + normal() * sin(k * x))
    end do
    right = cshift(u, 1)
    flux = (u**2 + right**2) / 4 - max(abs(u), abs(right)) * (right - u) / 2 - nu * (right - u) / dx
    u = u - dt / dx * (flux - cshift(flux, -1)) + force
  end subroutine

  function normal() ! Box and Muller
    real(real64) :: normal, a, b
    a = (real(ishft(draw(), -11), real64) + 0.5_real64) * 2.0_real64**(-53)
    b = real(ishft(draw(), -11), real64) * 2.0_real64**(-53)
    normal = sqrt(-2 * log(a)) * cos(2 * pi * b)
  end function

  function draw() result(z) ! SplitMix64; integers wrap
    integer(int64) :: z
    generator = generator + int(z'9E3779B97F4A7C15', int64)
    z = generator
    z = ieor(z, ishft(z, -30)) * int(z'BF58476D1CE4E5B9', int64)
    z = ieor(z, ishft(z, -27)) * int(z'94D049BB133111EB', int64)
    z = ieor(z, ishft(z, -31))
  end function

  function seed_of(text) result(seed) ! of up to 2**64 - 1: it wraps
    character(*), intent(in) :: text
    integer(int64) :: seed
    integer :: k
    seed = 0
    do k = 1, len_trim(text)
      seed = 10 * seed + (iachar(text(k:k)) - iachar('0'))
    end do
  end function
end program
