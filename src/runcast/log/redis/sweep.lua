-- One bounded step of the janitor. ARGV: epoch, now, wake command, first reserved position (0: take the next, -1: by the clock), how many are
-- reserved, idle since, limit. Returns how many rows went; who has reserved nothing ends no stream.
local first, reserved = tonumber(ARGV[4]), tonumber(ARGV[5])
if not begin(ARGV[1], ARGV[2], first > 0) then return gone() end
if not go_to(first, reserved) then return behind() end
local idle_since, left = tonumber(ARGV[6]), tonumber(ARGV[7])
local limit, ends = left, first > 0 and reserved or left

local function remove_garbage()
  while left > 0 do
    local first = call('LINDEX', root .. 'q', 0)
    if not first then return end
    local epoch, stream = string.match(first, '^(%x+) (.+)$')
    local removed = remove_events(stream, epoch, 9007199254740991, left)
    left = left - removed
    if left > 0 then
      call('UNLINK', root .. 'e:' .. stream .. ':' .. epoch)
      call('LPOP', root .. 'q')
    end
  end
end

local function remove_trimmed()
  while left > 0 do
    local stream = call('SRANDMEMBER', root .. 't')
    if not stream then return end
    local s = load_stream(stream)
    if s then left = left - remove_events(stream, s.epoch, s.oldest, left) end
    if left > 0 then call('SREM', root .. 't', stream) end
  end
end

local function drop_earlier_runs()
  for _, name in ipairs(call('ZRANGEBYSCORE', root .. 'old', '-inf', '(' .. int(idle_since), 'LIMIT', 0, left)) do
    local epoch, stream = string.match(name, '^(%x+) (.+)$')
    call('ZREM', root .. 'old', name)
    call('HDEL', root .. 'o:' .. stream, epoch)
    call('HINCRBY', root .. 'h:' .. stream, 'old', -1)
    call('RPUSH', root .. 'q', name)
    left = left - 1
  end
end

local function drop_stream(s)
  if s.closed == 0 then
    close_run(s)
    revoke(s.stream)
    ends = ends - 1
  end
  for _, epoch in ipairs(call('HKEYS', root .. 'o:' .. s.stream)) do
    call('ZREM', root .. 'old', epoch .. ' ' .. s.stream)
    call('RPUSH', root .. 'q', epoch .. ' ' .. s.stream)
  end
  call('RPUSH', root .. 'q', s.epoch .. ' ' .. s.stream)
  for _, name in ipairs({'h:', 'o:', 'd0:', 'd1:', 'f:'}) do
    call('UNLINK', root .. name .. s.stream)
  end
  call('ZREM', root .. 'n', s.stream)
  call('ZREM', root .. 'r:' .. s.kind, s.stream)
  call('SREM', root .. 't', s.stream)
  left = left - 1
end

-- Streams in the order of their last events are in the order of the times of these, but for a clock that jumped.
local function drop_idle(kind)
  while left > 0 and ends > 0 do
    local stream = call('ZRANGE', root .. 'r:' .. kind, 0, 0)[1]
    local s = stream and load_stream(stream)
    if not s or tonumber(s.updated) >= idle_since then return end
    drop_stream(s)
  end
end

remove_garbage()
remove_trimmed()
drop_earlier_runs()
for _, kind in ipairs(call('SMEMBERS', root .. 'k')) do
  drop_idle(kind)
  if call('EXISTS', root .. 'r:' .. kind) == 0 and call('XLEN', root .. 'x:' .. kind) == 0 then
    call('UNLINK', root .. 'x:' .. kind)
    call('SREM', root .. 'k', kind) -- whoever reads all kinds asks for each
  end
end
fill(first, reserved)
if position > before then
  commit()
  wake(ARGV[3])
end
return limit - left
