! The double well as a program that is launched: dw_fortran RESTART SEED BRANCH STEPS INNER OUT
program dw
  use well
  implicit none
  type(state) :: s
  character(4096) :: words(6)
  integer :: i, branch, steps, inner
  do i = 1, 6
    call get_command_argument(i, words(i))
  end do
  read (words(3:5), *) branch, steps, inner
  open (10, file=trim(words(1)), access='stream', status='old', action='read')
  read (10) s%x, s%y, s%t, s%generator, s%score
  close (10)
  if (branch == 1) s%generator = seed_of(words(2))
  do i = 1, steps
    call advance(s, inner, 0.01d0)
    print '(es24.16e3)', s%score
  end do
  open (10, file=trim(words(6)), access='stream', status='replace')
  write (10) s%x, s%y, s%t, s%generator, s%score
  close (10)
end program
