! The double well as a program that stays: it is told what to do by lines, and answers each with one. See
! docs/programs.md.
program dw_pipe
  use well
  use, intrinsic :: iso_fortran_env, only: input_unit, output_unit
  implicit none
  type(state) :: s
  character(4096) :: line, word, seed
  real(real64) :: t, dt
  integer :: status, inner, blank
  do
    read (input_unit, '(a)', iostat=status) line ! it ends when its input does
    if (status /= 0) exit
    blank = index(line, ' ')
    word = line(:blank - 1)
    line = line(blank + 1:)
    status = 0
    select case (word)
    case ('load')
      open (10, file=trim(line), access='stream', status='old', action='read', iostat=status)
      if (status == 0) read (10, iostat=status) s%x, s%y, s%t, s%generator, s%score
      close (10)
    case ('save')
      open (10, file=trim(line), access='stream', status='replace', iostat=status)
      if (status == 0) write (10, iostat=status) s%x, s%y, s%t, s%generator, s%score
      close (10)
    case ('start')
      s = state()
      call look(s)
    case ('branch')
      s%generator = seed_of(line)
    case ('step')
      blank = index(line, ' ')
      seed = line(:blank)
      read (line(blank:), *, iostat=status) t, dt, inner
      if (status == 0) call advance(s, inner, dt / inner)
    case ('score')
      write (output_unit, '(a, es24.16e3)') 'ok ', s%score
    case default
      status = 1
    end select
    if (status /= 0) write (output_unit, '(2a)') 'cannot ', trim(word)
    if (status == 0 .and. word /= 'score') write (output_unit, '(a)') 'ok'
    flush (output_unit) ! or pytams waits for ever
  end do
end program
