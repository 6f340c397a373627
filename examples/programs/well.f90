! The double well: its state, 40 bytes, and how it goes on. The same generator as in C, so the same bits.
module well
  use, intrinsic :: iso_fortran_env, only: int64, real64
  implicit none
  type :: state
    real(real64) :: x = -1, y = 0, t = 0
    integer(int64) :: generator = 0
    real(real64) :: score = 0
  end type
contains
  function draw(g) result(z) ! SplitMix64; integers wrap
    integer(int64), intent(inout) :: g
    integer(int64) :: z
    g = g + int(z'9E3779B97F4A7C15', int64)
    z = g
    z = ieor(z, ishft(z, -30)) * int(z'BF58476D1CE4E5B9', int64)
    z = ieor(z, ishft(z, -27)) * int(z'94D049BB133111EB', int64)
    z = ieor(z, ishft(z, -31))
  end function
  function normal(g) ! Box and Muller
    integer(int64), intent(inout) :: g
    real(real64) :: normal, u, v
    u = (real(ishft(draw(g), -11), real64) + 0.5_real64) * 2.0_real64**(-53)
    v = real(ishft(draw(g), -11), real64) * 2.0_real64**(-53)
    normal = sqrt(-2 * log(u)) * cos(6.283185307179586_real64 * v)
  end function
  subroutine look(s)
    type(state), intent(inout) :: s
    real(real64) :: a, b
    a = (s%x + 1) * (s%x + 1) + s%y * s%y
    b = (s%x - 1) * (s%x - 1) + s%y * s%y
    s%score = 0.5_real64 - 0.5_real64 * exp(-8 * a) + 0.5_real64 * exp(-8 * b)
  end subroutine
  subroutine advance(s, n, dt)
    type(state), intent(inout) :: s
    integer, intent(in) :: n
    real(real64), intent(in) :: dt
    real(real64) :: x, y, kick
    integer :: i
    kick = sqrt(0.1_real64 * dt)
    do i = 1, n
      x = s%x; y = s%y
      s%x = x + (x - x * x * x) * dt + kick * normal(s%generator)
      s%y = y - 2 * y * dt + kick * normal(s%generator)
      s%t = s%t + dt
    end do
    call look(s)
  end subroutine
  function seed_of(text) result(seed) ! of up to 2**64 - 1: it wraps
    character(*), intent(in) :: text
    integer(int64) :: seed
    integer :: i
    seed = 0
    do i = 1, len_trim(text)
      seed = 10 * seed + (iachar(text(i:i)) - iachar('0'))
    end do
  end function
end module
