-- Ends, clears or trims a stream. ARGV: epoch, now, wake command, first reserved position (0: take the next, -1: by the clock), how
-- many are reserved, the change, the stream, the new epoch (clear) or how many events to keep (trim), and a name for this change:
-- sent again after a lost answer, it is not done again to what came meanwhile.
-- Returns {position, generation, stream as it is now}, or nil if there is no such stream.
local answered = call('GET', root .. 'w:' .. ARGV[9])
if answered then return answered end
local first, reserved = tonumber(ARGV[4]), tonumber(ARGV[5])
if not begin(ARGV[1], ARGV[2], first > 0) then return gone() end
if not go_to(first, reserved) then return behind() end
local change, s = ARGV[6], load_stream(ARGV[7])
if s and change == 'end' then
  if s.closed == 0 then
    close_run(s)
    revoke(s.stream)
  end
elseif s and change == 'clear' then
  for _, epoch in ipairs(call('HKEYS', root .. 'o:' .. s.stream)) do
    call('RPUSH', root .. 'q', epoch .. ' ' .. s.stream)
    call('ZREM', root .. 'old', epoch .. ' ' .. s.stream)
  end
  call('RPUSH', root .. 'q', s.epoch .. ' ' .. s.stream)
  for _, name in ipairs({'o:', 'd0:', 'd1:', 'f:'}) do
    call('UNLINK', root .. name .. s.stream)
  end
  s = new_run(s.stream, ARGV[8], s)
  s.old, s.dg, s.dn = 0, 0, 0
  add_control('clear', s.epoch, 1, s.stream)
  revoke(s.stream)
  call('ZADD', root .. 'r:' .. s.kind, int(s.pos), s.stream)
elseif s and change == 'trim' then
  local oldest = s.head - tonumber(ARGV[8]) + 1
  if oldest > s.oldest then
    s.oldest = oldest
    add_control('trim', s.epoch, s.oldest, s.stream)
    call('SADD', root .. 't', s.stream)
  end
end
if s and position > before then save_stream(s) end
fill(first, reserved)
if position > before then
  commit()
  wake(ARGV[3])
end
if not s then return false end
local answer = cmsgpack.pack({position, generation, info_of(s)})
call('SET', root .. 'w:' .. ARGV[9], answer, 'EX', 3600)
return answer
