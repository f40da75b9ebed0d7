-- ARGV: epoch, "fence", position: from now on, this partition takes no position up to there.
-- "settled", position: all up to there is used, or never will be. Returns {settled, reserved}: as they are now.
if not begin(ARGV[1]) then return gone() end
local there = tonumber(ARGV[3])
if ARGV[2] == 'fence' then
  if there > position then
    call('HSET', KEYS[1], 'pos', int(there), 'id', '')
  end
elseif there > tonumber(call('HGET', KEYS[1], 'settled')) then
  call('HSET', KEYS[1], 'settled', int(there))
end
local at = call('HMGET', KEYS[1], 'settled', 'reserved')
return {tonumber(at[1]), tonumber(at[2])}
